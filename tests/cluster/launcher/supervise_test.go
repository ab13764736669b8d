package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// of makes a supervisor whose only component is a shell script.
func of(t *testing.T, script string) (*supervisor, component) {
	t.Helper()
	f := folder(t.TempDir())
	claimed, err := f.claim()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { claimed.Close() })
	s := &supervisor{cluster: &cluster{folder: f, binaries: binaries{"script": "/bin/sh"}}}
	return s, component{name: "script", arguments: []string{"-c", script}}
}

func TestOneThatDiesAtOnceIsGivenUpWithItsLog(t *testing.T) {
	s, script := of(t, "echo no port for me; exit 3")
	err := s.keep(context.Background(), script)
	if exitCode(err) != exitBroken {
		t.Fatalf("exit code %d of %v", exitCode(err), err)
	}
	for _, part := range []string{"script", "5 times", "exit status 3", "no port for me"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %s", part, err)
		}
	}
}

func TestOneThatWasKilledRunsAgain(t *testing.T) {
	s, script := of(t, "exec sleep 60")
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.keep(ctx, script) }()
	first := s.otherPid(t, "")
	second := s.otherPid(t, first)
	if first == second {
		t.Errorf("%s was not replaced", first)
	}
	end()
	if err := <-done; err != nil {
		t.Errorf("ended with %v", err)
	}
}

// otherPid waits for a process id other than the one given, and kills that process if it is the first.
func (s *supervisor) otherPid(t *testing.T, before string) string {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(s.cluster.folder.path("pids", "script"))
		if err != nil || string(text) == before {
			continue
		}
		if before == "" {
			kill(t, string(text))
		}
		return string(text)
	}
	t.Fatal("no process came")
	return ""
}

func TestALongLifeForgivesDeaths(t *testing.T) {
	early := 0
	for range tooOften - 1 {
		early = countEarly(early, time.Millisecond)
	}
	if early = countEarly(early, atOnce); early != 0 {
		t.Errorf("%d deaths are still counted", early)
	}
}

func kill(t *testing.T, pid string) {
	t.Helper()
	process, err := os.FindProcess(atoi(t, pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
}
