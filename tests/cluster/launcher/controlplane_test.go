package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestALateControlPlaneTellsItsLogs(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	script := "#!/bin/sh\necho \"no quorum for $1\"\nexec sleep 60\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	before := readyWithin
	t.Cleanup(func() { readyWithin = before })
	readyWithin = time.Second
	_, err := startControlPlane(context.Background(), folder(t.TempDir()), binaries{"etcd": program}, "v1.0.0")
	if exitCode(err) != exitBroken {
		t.Fatalf("exit code %d of %v", exitCode(err), err)
	}
	for _, part := range []string{"not ready after 1s", "etcd.log ends so:\nno quorum for --data-dir", "not started"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %s", part, err)
		}
	}
}
