package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestOnlyOurOldThingsAreRemoved(t *testing.T) {
	cache := t.TempDir()
	old := time.Now().Add(-unusedFor - time.Hour)
	things := []struct {
		name      string
		old, gone bool
	}{
		{"etcd-v3.6.16-b7271866d33a", false, false},
		{"etcd-v3.6.15-b7271866d33b", true, true},
		{"etcd-v3.6.17-b7271866d33c.partial", false, true},
		{"helm-v4.4.0-rc.1-b7271866d33a", true, true},
		{"launcher-3126701129-54476", true, true},
		{"launcher-Linux-x86_64-3126701129-54476", true, true},
		{"launcher-Linux-x86_64-3126701129-54476.123", true, true},
		{"launcher-Darwin-arm64-3126701129-54476", false, false},
		{"build.lock", true, false},
		{"etcd", true, false},
		{"etcd-notes-v2", true, false},
		{"somebody's.partial", true, false},
	}
	for _, thing := range things {
		path := filepath.Join(cache, thing.name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if thing.old {
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	removeUnused(cache, time.Now().Add(-unusedFor))
	for _, thing := range things {
		if gone := !isDir(filepath.Join(cache, thing.name)); gone != thing.gone {
			t.Errorf("%s is gone: %t", thing.name, gone)
		}
	}
}

func TestNothingIsRemovedDuringABuild(t *testing.T) {
	cache := t.TempDir()
	partial := filepath.Join(cache, "etcd-v3.6.17-b7271866d33c.partial")
	if err := os.Mkdir(partial, 0o700); err != nil {
		t.Fatal(err)
	}
	building, err := lockForBuild(cache)
	if err != nil {
		t.Fatal(err)
	}
	clean(cache)
	if !isDir(partial) {
		t.Error("the folder of a build that is under way was removed")
	}
	building.Close()
	clean(cache)
	if isDir(partial) {
		t.Error("the folder of a build that ended is still there")
	}
}
