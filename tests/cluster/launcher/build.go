package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// binaries maps a program's name to its path.
type binaries map[string]string

// build returns every program of these modules, built first where the cache holds it not, and cleans the cache.
func build(root, cache string, of []module) (binaries, error) {
	found := binaries{}
	var missing []module
	keys := map[string]string{}
	for _, m := range of {
		key, err := m.key(root)
		if err != nil {
			return nil, err
		}
		keys[m.dir] = filepath.Join(cache, key)
		if isDir(keys[m.dir]) {
			touch(keys[m.dir])
		} else {
			missing = append(missing, m)
		}
		for _, program := range m.programs {
			found[program] = filepath.Join(keys[m.dir], program)
		}
	}
	if len(missing) > 0 {
		if err := buildMissing(root, cache, missing, keys); err != nil {
			return nil, err
		}
	}
	clean(cache)
	return found, nil
}

// buildMissing builds the modules into the folders of keys. Builds of several launchers follow each other.
func buildMissing(root, cache string, missing []module, keys map[string]string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return exitWith(exitUnavailable, "Go is missing; it builds what the tests are held against, so install Go 1.26 or later")
	}
	lock, err := lockForBuild(cache)
	if err != nil {
		return err
	}
	defer lock.Close()
	for _, m := range missing {
		if isDir(keys[m.dir]) {
			continue // another launcher built it while we waited for the lock
		}
		if err := buildModule(root, m, keys[m.dir]); err != nil {
			return err
		}
	}
	return nil
}

func lockOf(cache string) string { return filepath.Join(cache, "build.lock") }

// lockForBuild waits until no other launcher builds into the cache.
func lockForBuild(cache string) (*os.File, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(lockOf(cache), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		return lock, nil
	}
	say("waiting for a build that is under way")
	for {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
		if err == nil {
			return lock, nil
		}
		if err != syscall.EINTR {
			return nil, fmt.Errorf("cannot lock %s: %w", lock.Name(), err)
		}
	}
}

// buildModule builds beside the final folder and renames, so that a folder that is there is whole.
func buildModule(root string, m module, final string) error {
	version, err := m.version(root)
	if err != nil {
		return err
	}
	partial := final + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return err
	}
	names := strings.Join(m.programs, ", ")
	say("building %s %s (once, some minutes)…", names, version)
	started := time.Now()
	command := exec.Command("go", m.buildArguments(version, partial)...)
	command.Dir = filepath.Join(root, m.dir)
	// Static binaries need no C compiler; a workspace or flags of the user's are not ours.
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	command.SysProcAttr = endsWithUs(syscall.SIGTERM)
	if err := run(command); err != nil {
		os.RemoveAll(partial)
		return exitWith(exitUnavailable, "cannot build %s %s: %w", names, version, err)
	}
	for _, program := range m.programs {
		if _, err := os.Stat(filepath.Join(partial, program)); err != nil {
			return exitWith(exitUnavailable, "the build of %s made no %s: %w", m.dir, program, err)
		}
	}
	say("built %s in %.0f s", names, time.Since(started).Seconds())
	return os.Rename(partial, final)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
