package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// folder is where one control plane keeps all it has: certificates, data, logs.
type folder string

func (f folder) path(parts ...string) string {
	return filepath.Join(append([]string{string(f)}, parts...)...)
}

func (f folder) write(name string, content []byte) error {
	return os.WriteFile(f.path(name), content, 0o600)
}

// kubeconfig is the administrator's.
func (f folder) kubeconfig() string { return f.path("kubeconfig") }

// log is where a component writes.
func (f folder) log(component string) string { return f.path("logs", component+".log") }

// holder is the file that the launcher keeps locked while it serves the folder; it holds its process id.
func (f folder) holder() string { return f.path("pids", "launcher") }

// claim makes the folder's parts and locks it for this process, until it ends.
func (f folder) claim() (*os.File, error) {
	for _, name := range []string{"pids", "logs", "etcd", "pki"} {
		if err := os.MkdirAll(f.path(name), 0o700); err != nil {
			return nil, err
		}
	}
	file, err := os.OpenFile(f.holder(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	// Whoever looks holds the lock for a moment too.
	for tries := 0; syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil; tries++ {
		if tries == 20 {
			file.Close()
			return nil, f.inUse()
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := file.Truncate(0); err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(file, os.Getpid())
	return file, err
}

// startAfresh removes what a start that failed has stored and said, all but the launcher's own log.
func (f folder) startAfresh() error {
	stale := []string{f.path("etcd"), f.path("audit.log")}
	logs, _ := filepath.Glob(f.log("*")) // its only error is a bad pattern
	for _, log := range logs {
		if log != f.log("launcher") {
			stale = append(stale, log)
		}
	}
	for _, path := range stale {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return os.Mkdir(f.path("etcd"), 0o700)
}

func (f folder) inUse() error {
	return exitWith(exitUsage, "a control plane runs in %s already; end it with: %s", f, f.downCommand())
}

// state is what is in a folder.
type state int

const (
	empty   state = iota // nothing, or no folder
	foreign              // files of somebody else's
	left                 // a control plane that has ended without its folder
	running              // a control plane
)

// look tells what is in the folder, and the process id of the launcher that serves it.
func (f folder) look() (state, int, error) {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return empty, 0, nil
	}
	if err != nil {
		return foreign, 0, err
	}
	file, err := os.Open(f.holder())
	if errors.Is(err, fs.ErrNotExist) {
		return foreign, 0, nil
	}
	if err != nil {
		return foreign, 0, err
	}
	defer file.Close()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		return left, 0, nil
	}
	if err != syscall.EWOULDBLOCK {
		return foreign, 0, err
	}
	text, err := os.ReadFile(f.holder())
	if err != nil {
		return running, 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	return running, pid, err
}

// writeKubeconfig makes a kubeconfig that stands alone: it names no other file. The credentials are those of a user,
// as JSON, which is YAML too.
func (f folder) writeKubeconfig(name, server, user string, ca []byte, credentials map[string]string) error {
	encoded, err := json.Marshal(credentials)
	if err != nil {
		return err
	}
	return f.write(name, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: tidegate-test
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %[3]s
  user: %[4]s
contexts:
- name: tidegate-test
  context:
    cluster: tidegate-test
    user: %[3]s
current-context: tidegate-test
`, server, base64.StdEncoding.EncodeToString(ca), user, encoded))
}

// downCommand is what a user types to remove the folder.
func (f folder) downCommand() string { return "tests/cluster/run down " + quote(string(f)) }

// keep spares the folder from sweep.
func (f folder) keep() error { return f.write("kept", nil) }

// remove ends what still runs for the folder, and removes it.
func (f folder) remove() error {
	f.endPrograms()
	return os.RemoveAll(string(f))
}

// sweep removes folders that killed launchers left; those claimed lately are not even locked for a look, since one may
// be about to be claimed.
func sweep(pattern string, before time.Time) {
	found, _ := filepath.Glob(pattern) // its only error is a bad pattern
	for _, name := range found {
		f, err := absolute(name)
		if err != nil {
			continue
		}
		if info, err := os.Stat(f.holder()); err != nil || !info.ModTime().Before(before) {
			continue
		}
		if _, err := os.Stat(f.path("kept")); err == nil {
			continue
		}
		if seen, _, err := f.look(); err == nil && seen == left {
			f.remove()
		}
	}
}
