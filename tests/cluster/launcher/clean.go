package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// unusedFor is how long the cache keeps what nobody uses. No control plane lives longer, for its certificates don't.
const unusedFor = lifetime

// cached is what we put into the cache: launchers, and the folders that modules are built into.
var cached = func() *regexp.Regexp {
	var names []string
	for _, m := range modules {
		names = append(names, m.dir)
	}
	built := "(" + strings.Join(names, "|") + `)-v.+-[0-9a-f]{12}(\.partial)?`
	return regexp.MustCompile(`^(launcher-[\w-]+(\.\d+)?|` + built + `)$`)
}()

// touch notes that something in the cache is used. A cache that cannot be written is not ours to clean either.
func touch(path string) {
	now := time.Now()
	os.Chtimes(path, now, now)
}

// clean removes what is not used any more, unless another launcher builds.
func clean(cache string) {
	if self, err := os.Executable(); err == nil {
		touch(self)
	}
	lock, err := os.OpenFile(lockOf(cache), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return
	}
	defer lock.Close()
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		removeUnused(cache, time.Now().Add(-unusedFor))
	}
}

// removeUnused removes what was last used before, and what builds that were killed left. It needs the lock for builds.
func removeUnused(cache string, before time.Time) {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !cached.MatchString(entry.Name()) {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			continue
		}
		if strings.HasSuffix(entry.Name(), ".partial") || info.ModTime().Before(before) {
			os.RemoveAll(filepath.Join(cache, entry.Name()))
		}
	}
}
