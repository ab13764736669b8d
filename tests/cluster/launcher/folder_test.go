package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLookTellsWhatIsInAFolder(t *testing.T) {
	f := folder(filepath.Join(t.TempDir(), "cluster"))
	expect := func(want state) {
		t.Helper()
		if got, _, err := f.look(); got != want || err != nil {
			t.Errorf("got %d, %v; want %d", got, err, want)
		}
	}
	expect(empty)
	if err := os.Mkdir(string(f), 0o700); err != nil {
		t.Fatal(err)
	}
	expect(empty)
	if err := f.write("somebody's", nil); err != nil {
		t.Fatal(err)
	}
	expect(foreign)
	claimed, err := f.claim()
	if err != nil {
		t.Fatal(err)
	}
	expect(running)
	if _, pid, _ := f.look(); pid != os.Getpid() {
		t.Errorf("process %d", pid)
	}
	if _, err := f.claim(); exitCode(err) != exitUsage {
		t.Errorf("claimed twice: %v", err)
	}
	claimed.Close()
	expect(left)
}

func TestClaimOutlastsALook(t *testing.T) {
	f := folder(t.TempDir())
	claimed, err := f.claim()
	if err != nil {
		t.Fatal(err)
	}
	claimed.Close()
	looking, err := os.Open(f.holder())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(looking.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, func() { looking.Close() })
	if claimed, err = f.claim(); err != nil {
		t.Fatal(err)
	}
	claimed.Close()
}

func TestSweepSparesWhatLivesOrIsNew(t *testing.T) {
	parent, old := t.TempDir(), time.Now().Add(-2*time.Hour)
	made := map[string]*os.File{}
	for _, name := range []string{"running", "left", "kept", "new"} {
		f := folder(filepath.Join(parent, name))
		claimed, err := f.claim()
		if err != nil {
			t.Fatal(err)
		}
		made[name] = claimed
		if name == "new" {
			continue
		}
		if err := os.Chtimes(f.holder(), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := folder(filepath.Join(parent, "kept")).keep(); err != nil {
		t.Fatal(err)
	}
	made["left"].Close()
	made["kept"].Close()
	made["new"].Close()
	sweep(filepath.Join(parent, "*"), time.Now().Add(-time.Hour))
	made["running"].Close()
	for name, want := range map[string]bool{"running": true, "left": false, "kept": true, "new": true} {
		if got := isDir(filepath.Join(parent, name)); got != want {
			t.Errorf("%s is there: %t", name, got)
		}
	}
}

func atoi(t *testing.T, text string) int {
	t.Helper()
	number, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return number
}
