package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestProgramsOfAKilledLauncherEndWithTheirFolder(t *testing.T) {
	if _, err := exec.LookPath("ps"); err != nil {
		t.Skip("ps is not installed")
	}
	program := filepath.Join(t.TempDir(), "etcd")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nwhile :; do sleep 0.1; done\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	f := folder(filepath.Join(t.TempDir(), "a b"))
	claimed, err := f.claim()
	if err != nil {
		t.Fatal(err)
	}
	claimed.Close()
	s := &supervisor{cluster: &cluster{folder: f}}
	for _, test := range []struct {
		name, pidFile, argument string
		ended                   bool
	}{
		{"ours", "etcd", "--data-dir=" + f.path("etcd"), true},
		{"another folder's", "etcd", "--data-dir=" + string(f) + "2/etcd", false},
		{"another program", "kwok", "--config=" + f.path("stages.yaml"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			command := exec.Command(program, test.argument)
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { command.Wait(); close(ended) }()
			if err := s.writePid(test.pidFile, command.Process.Pid); err != nil {
				t.Fatal(err)
			}
			// The process is a copy of ours until it has become the program.
			for !f.runs("etcd", command.Process.Pid) && test.ended {
				time.Sleep(5 * time.Millisecond)
			}
			f.endPrograms()
			select {
			case <-ended:
				if !test.ended {
					t.Error("it was ended")
				}
			case <-time.After(200 * time.Millisecond):
				if test.ended {
					t.Error("it still runs")
				}
				command.Process.Kill()
				<-ended
			}
		})
	}
	if err := f.remove(); err != nil || isDir(string(f)) {
		t.Errorf("not removed: %v", err)
	}
}
