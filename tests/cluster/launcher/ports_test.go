package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestATakenPortIsReplacedByAnother has an etcd that finds its port taken until it is given up, and none the next time.
func TestATakenPortIsReplacedByAnother(t *testing.T) {
	parent := t.TempDir()
	program, starts := filepath.Join(parent, "program"), filepath.Join(parent, "starts")
	script := `#!/bin/sh
echo "$*" >>` + starts + `
[ "$(wc -l <` + starts + `)" -gt 5 ] && exec sleep 60
echo "listen tcp 127.0.0.1:1: bind: address already in use"
exit 1
`
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	before := readyWithin
	t.Cleanup(func() { readyWithin = before })
	readyWithin = 3 * time.Second
	f := folder(filepath.Join(parent, "cluster"))
	_, err := startControlPlane(context.Background(), f, binaries{"etcd": program}, "v1.0.0")
	if err == nil || !strings.Contains(err.Error(), "not ready after 3s") || strings.Contains(err.Error(), "in use") {
		t.Errorf("the second start ended with %v", err)
	}
	text, err := os.ReadFile(starts)
	if err != nil {
		t.Fatal(err)
	}
	ports := map[string]int{}
	for _, port := range regexp.MustCompile(`listen-client-urls=\S+:(\d+)`).FindAllStringSubmatch(string(text), -1) {
		ports[port[1]]++
	}
	if len(ports) != 2 {
		t.Errorf("starts by port: %v", ports)
	}
}
