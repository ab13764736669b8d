package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, f.inUse()
	}
	if err := file.Truncate(0); err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(file, os.Getpid())
	return file, err
}

func (f folder) inUse() error {
	return exitWith(exitUsage, "a control plane runs in %s already; end it with `tests/cluster/run down %s`", f, f)
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

// writeKubeconfig makes a kubeconfig that stands alone: it names no other file.
func (f folder) writeKubeconfig(name, server, user string, ca []byte, client pair) error {
	encode := base64.StdEncoding.EncodeToString
	return f.write(name, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: tidegate-test
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %[3]s
  user:
    client-certificate-data: %[4]s
    client-key-data: %[5]s
contexts:
- name: tidegate-test
  context:
    cluster: tidegate-test
    user: %[3]s
current-context: tidegate-test
`, server, encode(ca), user, encode(client.certificate), encode(client.key)))
}
