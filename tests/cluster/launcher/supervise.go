package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	restartAfter = 100 * time.Millisecond
	// A component that lives shorter than this died at once.
	atOnce = 2 * time.Second
	// So many deaths at once, one after the other, are a fault and no accident.
	tooOften = 5
	tailSize = 2000
)

// supervisor keeps the components running, as a kubelet would.
type supervisor struct {
	cluster *cluster
	ended   sync.WaitGroup
}

// supervise starts every component and keeps it running until ctx ends; broken is called when one cannot.
func supervise(ctx context.Context, c *cluster, broken context.CancelCauseFunc) *supervisor {
	s := &supervisor{cluster: c}
	for _, one := range c.components() {
		s.ended.Go(func() {
			if err := s.keep(ctx, one); err != nil && ctx.Err() == nil {
				broken(err)
			}
		})
	}
	return s
}

// wait returns when every component has ended.
func (s *supervisor) wait() { s.ended.Wait() }

// keep runs one component again and again.
func (s *supervisor) keep(ctx context.Context, one component) error {
	early := 0
	for ctx.Err() == nil {
		if one.needs != nil {
			if err := one.needs(ctx); err != nil {
				return err
			}
		}
		started := time.Now()
		ending, err := s.runOnce(ctx, one)
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		early = countEarly(early, time.Since(started))
		if early == tooOften {
			last := tail(s.cluster.folder.log(one.name))
			return whetherPortTaken(exitWith(exitBroken, "%s ended at once %d times in a row, last with %s; its log ends so:\n%s",
				one.name, tooOften, ending, last), last)
		}
		select {
		case <-ctx.Done():
		case <-time.After(restartAfter):
		}
	}
	return nil
}

// countEarly counts the deaths at once in a row; a long life forgives them all.
func countEarly(before int, lived time.Duration) int {
	if lived >= atOnce {
		return 0
	}
	return before + 1
}

// runOnce runs one component until it ends or ctx does, and tells how it ended.
func (s *supervisor) runOnce(ctx context.Context, one component) (string, error) {
	log, err := os.OpenFile(s.cluster.folder.log(one.name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return "", err
	}
	defer log.Close()
	command := exec.Command(s.cluster.binaries[one.name], one.arguments...)
	command.Dir = string(s.cluster.folder)
	command.Env = componentEnvironment()
	command.Stdout, command.Stderr = log, log
	// A group of its own: the Ctrl-C of a terminal is for the command. All is thrown away, so nothing need end gently.
	command.SysProcAttr = endsWithUs(syscall.SIGKILL)
	command.SysProcAttr.Setpgid = true
	if err := start(command); err != nil {
		return "", fmt.Errorf("cannot start %s: %w", one.name, err)
	}
	stop := context.AfterFunc(ctx, func() { command.Process.Kill() })
	defer stop()
	if err := s.writePid(one.name, command.Process.Pid); err != nil {
		command.Process.Kill()
		command.Wait()
		return "", err
	}
	command.Wait()
	return command.ProcessState.String(), nil
}

// writePid renames, so that a reader never sees half a number.
func (s *supervisor) writePid(name string, pid int) error {
	final := s.cluster.folder.path("pids", name)
	next := s.cluster.folder.path("pids", "."+name)
	if err := os.WriteFile(next, fmt.Appendln(nil, pid), 0o600); err != nil {
		return err
	}
	return os.Rename(next, final)
}

// componentEnvironment leaves out what would change how the programs behave: a proxy, a kubeconfig, etcd's variables.
func componentEnvironment() []string {
	kept := []string{"GOGC=200"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, set := os.LookupEnv(name); set {
			kept = append(kept, name+"="+value)
		}
	}
	return kept
}

// tail is the end of a log, from the start of a line.
func tail(name string) string {
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "(it was not started)"
	}
	if err != nil {
		return err.Error()
	}
	if len(content) > tailSize {
		_, after, _ := strings.Cut(string(content[len(content)-tailSize:]), "\n")
		return strings.TrimSpace(after)
	}
	return strings.TrimSpace(string(content))
}
