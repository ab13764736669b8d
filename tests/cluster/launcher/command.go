package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"
)

// gentleFor is how long a command has to end after a signal.
const gentleFor = 10 * time.Second

// temporaryPrefix is how the folder of a command's control plane is called.
const temporaryPrefix = "tidegate-cluster-"

// runCommand runs a command with a control plane of its own, and returns the command's exit code.
func runCommand(root, cache string, arguments []string) (code int, err error) {
	programs, version, err := prepared(root, cache)
	if err != nil {
		return 0, err
	}
	sweep(filepath.Join(os.TempDir(), temporaryPrefix+"*"), time.Now().Add(-time.Hour))
	temporary, err := os.MkdirTemp("", temporaryPrefix)
	if err != nil {
		return 0, err
	}
	f, err := absolute(temporary)
	if err != nil {
		return 0, err
	}
	defer func() { f.leave(code != 0 || err != nil) }()
	interrupted, signals := withSignals()
	// The command is told of a signal and may still use the cluster while it ends; only the start ends with the signal.
	starting, started := context.WithCancelCause(context.Background())
	stop := context.AfterFunc(interrupted, func() { started(context.Cause(interrupted)) })
	plane, err := startControlPlane(starting, f, programs, version)
	if err != nil {
		return 0, err
	}
	defer plane.stop()
	if !stop() {
		return 0, context.Cause(interrupted)
	}
	say("%s", plane.greeting)
	command := exec.Command(arguments[0], arguments[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(), environment(f, programs)...)
	return attend(command, signals, plane.ctx)
}

// leave removes a command's folder, unless it failed and the user wants to see why.
func (f folder) leave(failed bool) {
	if failed && os.Getenv("TIDEGATE_TEST_KEEP") == "1" && f.keep() == nil {
		say("the logs are in %s; remove it with: %s", f, f.downCommand())
		return
	}
	if err := f.remove(); err != nil {
		say("cannot remove the control plane's folder: %s", err)
	}
}

// attend runs the command, passes signals on to it, and ends it when the control plane ends.
func attend(command *exec.Cmd, signals <-chan syscall.Signal, plane context.Context) (int, error) {
	command.SysProcAttr = endsWithUs(syscall.SIGTERM)
	// In front of a terminal, Ctrl-C reaches the command without us. Elsewhere it gets a group, to signal all of it.
	inFront := inFrontOfTerminal()
	command.SysProcAttr.Setpgid = !inFront
	if err := start(command); err != nil {
		return startFailure(err), exitWith(startFailure(err), "cannot run %s: %w", command.Path, err)
	}
	target := command.Process.Pid
	if !inFront {
		target = -target
	}
	ended := make(chan struct{})
	go func() {
		command.Wait()
		close(ended)
	}()
	var tooLong <-chan time.Time
	for {
		select {
		case <-ended:
			if tooLong != nil {
				syscall.Kill(target, syscall.SIGKILL) // what the command left in its group
			}
			return endCode(command.ProcessState), ownEnd(plane)
		case signal := <-signals:
			if tooLong != nil {
				syscall.Kill(target, syscall.SIGKILL)
			} else if signal != syscall.SIGINT || !inFront {
				syscall.Kill(target, signal)
			}
			tooLong = time.After(gentleFor)
		case <-plane.Done():
			plane = withoutEnd{plane}
			syscall.Kill(target, syscall.SIGTERM)
			tooLong = time.After(gentleFor)
		case <-tooLong:
			syscall.Kill(target, syscall.SIGKILL)
		}
	}
}

// withoutEnd is a context whose end has been seen.
type withoutEnd struct{ context.Context }

func (withoutEnd) Done() <-chan struct{} { return nil }

// ownEnd is why the control plane ended by itself, or nil.
func ownEnd(plane context.Context) error {
	if plane.Err() == nil {
		return nil
	}
	return context.Cause(plane)
}

// endCode is the code a shell would give.
func endCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// startFailure is the code a shell would give for a command that cannot be started.
func startFailure(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return 127
	}
	return 126
}

// inFrontOfTerminal tells whether the terminal sends its Ctrl-C to our process group.
func inFrontOfTerminal() bool {
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer terminal.Close()
	var group int32
	_, _, failed := syscall.Syscall(syscall.SYS_IOCTL, terminal.Fd(), syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	return failed == 0 && int(group) == syscall.Getpgrp()
}
