package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRequiredVersion(t *testing.T) {
	for name, test := range map[string]struct {
		goMod string
		want  string
		found bool
	}{
		"alone":          {"go 1.26.0\n\nrequire example.org/a v1.2.3\n", "v1.2.3", true},
		"in a block":     {"require (\n\texample.org/a v1.2.3\n\texample.org/b v0.1.0\n)\n", "v1.2.3", true},
		"indirect":       {"require (\n\texample.org/a v1.2.3 // indirect\n)\n", "v1.2.3", true},
		"only replaced":  {"replace (\n\texample.org/a => example.org/a v1.2.3\n)\n", "", false},
		"only a longer":  {"require example.org/a/b v1.2.3\n", "", false},
		"only a shorter": {"require example.org v1.2.3\n", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, found := requiredVersion(test.goMod, "example.org/a")
			if got != test.want || found != test.found {
				t.Errorf("got %q, %t; want %q, %t", got, found, test.want, test.found)
			}
		})
	}
}

func TestEveryModuleSaysItsVersion(t *testing.T) {
	for _, m := range modules {
		if version, err := m.version(".."); err != nil || version == "" {
			t.Errorf("%s: %q, %v", m.dir, version, err)
		}
	}
}

func TestKeyFollowsTheFiles(t *testing.T) {
	root := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := module{dir: "etcd", requires: "example.org/a", programs: []string{"etcd"}, target: "./..."}
	if err := os.Mkdir(filepath.Join(root, "etcd"), 0o700); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, change := range []struct{ name, content string }{
		{"go.mod", "require example.org/a v1.0.0\n"},
		{"go.mod", "require example.org/a v1.0.1\n"},
		{"go.sum", "a hash\n"},
		{"main.go", "package main\n"},
	} {
		write(filepath.Join("etcd", change.name), change.content)
		key, err := m.key(root)
		if err != nil {
			t.Fatal(err)
		}
		if before, twice := seen[key]; twice {
			t.Errorf("%q names what was built with %q too", key, before)
		}
		seen[key] = change.content
	}
	first, _ := m.key(root)
	if second, _ := m.key(root); first != second {
		t.Errorf("%q became %q without a change", first, second)
	}
}
