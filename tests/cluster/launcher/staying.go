package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// reportTo is the file descriptor on which the detached launcher says how its start went: an exit code, a line
// break, and a text.
const reportTo = 3

// up starts a control plane that stays, served by a launcher in a session of its own.
func up(root, cache, dir string) error {
	f, err := absolute(dir)
	if err != nil {
		return err
	}
	// Built here, where the user sees it.
	programs, _, err := prepared(root, cache)
	if err != nil {
		return err
	}
	if err := f.mustBeEmpty(); err != nil {
		return err
	}
	// Claimed for a moment, so that `down` knows the folder as ours however the start ends.
	claimed, err := f.claim()
	if err != nil {
		return err
	}
	claimed.Close()
	code, text, err := detach(root, f)
	if err != nil {
		return err
	}
	if code != 0 {
		return exitWith(code, "%s\nthe logs are in %s; remove them with: %s", text, f.path("logs"), f.downCommand())
	}
	say("%s", text)
	fmt.Printf("%s   # end it with: %s\n", export(environment(f, programs)), f.downCommand())
	return nil
}

func (f folder) mustBeEmpty() error {
	seen, _, err := f.look()
	if err != nil {
		return err
	}
	switch seen {
	case running:
		return f.inUse()
	case left:
		return exitWith(exitUsage, "%s holds what an ended control plane left; remove it with: %s", f, f.downCommand())
	case foreign:
		return exitWith(exitUsage, "%s holds other files; name a folder that is empty or not there", f)
	case empty:
	}
	return nil
}

// detach starts the launcher that serves the folder, and waits for what it reports.
func detach(root string, f folder) (int, string, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, "", err
	}
	log, err := os.OpenFile(f.log("launcher"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, "", err
	}
	defer log.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		return 0, "", err
	}
	defer reader.Close()
	command := exec.Command(self, root, serveVerb, string(f))
	command.Dir = "/"
	command.Stdout, command.Stderr = log, log
	command.ExtraFiles = []*os.File{writer}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	interrupted, _ := withSignals()
	err = command.Start()
	writer.Close()
	if err != nil {
		return 0, "", err
	}
	stop := context.AfterFunc(interrupted, func() { command.Process.Signal(syscall.SIGTERM) })
	defer stop()
	report, err := io.ReadAll(reader)
	if err != nil {
		return 0, "", err
	}
	return parseReport(string(report), f)
}

func parseReport(report string, f folder) (int, string, error) {
	first, text, _ := strings.Cut(report, "\n")
	code, err := strconv.Atoi(first)
	if err != nil {
		return 0, "", fmt.Errorf("the launcher ended without a word; its log ends so:\n%s", tail(f.log("launcher")))
	}
	return code, text, nil
}

// serve is the detached launcher: it serves the folder until a signal or a fault.
func serve(root, cache, dir string) error {
	syscall.CloseOnExec(reportTo)
	report := os.NewFile(reportTo, "report")
	defer report.Close()
	programs, version, err := prepared(root, cache)
	if err != nil {
		fmt.Fprintf(report, "%d\n%s", exitCode(err), err)
		return err
	}
	interrupted, _ := withSignals()
	plane, err := startControlPlane(interrupted, folder(dir), programs, version)
	if err != nil {
		fmt.Fprintf(report, "%d\n%s", exitCode(err), err)
		return err
	}
	fmt.Fprintf(report, "0\n%s", plane.greeting)
	report.Close()
	<-plane.ctx.Done()
	err = context.Cause(plane.ctx)
	plane.stop()
	return err
}

// down ends the control plane of the folder, and removes the folder.
func down(dir string) error {
	f, err := absolute(dir)
	if err != nil {
		return err
	}
	seen, pid, err := f.look()
	if err != nil {
		return err
	}
	switch seen {
	case empty, foreign:
		return exitWith(exitUsage, "there is no control plane in %s", f)
	case running:
		if err := endLauncher(f, pid); err != nil {
			return err
		}
	case left:
	}
	return f.remove()
}

// endLauncher asks, then insists. The lock tells the end, since a process id may soon be somebody else's.
func endLauncher(f folder, pid int) error {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(pid, signal); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("cannot end the launcher, process %d: %w", pid, err)
		}
		for end := time.Now().Add(gentleFor); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if seen, _, err := f.look(); err == nil && seen != running {
				return nil
			}
		}
	}
	return fmt.Errorf("process %d still holds %s", pid, f)
}

func absolute(dir string) (folder, error) {
	path, err := filepath.Abs(dir)
	return folder(path), err
}
