package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// module is one Go module of ours that builds programs. Its go.mod is the only place that says their version.
type module struct {
	// dir is the folder beside the launcher's.
	dir string
	// requires is the module path whose version is the programs' version.
	requires string
	// programs are the names of the binaries.
	programs []string
	// target is what `go build` is told to build.
	target string
}

var modules = []module{
	{"etcd", "go.etcd.io/etcd/server/v3", []string{"etcd"}, "./..."},
	{"kubernetes", "k8s.io/kubernetes",
		[]string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"}, "./..."},
	{"kwok", "sigs.k8s.io/kwok", []string{"kwok"}, "sigs.k8s.io/kwok/cmd/kwok"},
	{"helm", "helm.sh/helm/v4", []string{"helm"}, "helm.sh/helm/v4/cmd/helm"},
	{"argo-cd", "github.com/argoproj/argo-cd/v3", []string{"argo-cd"}, "./..."},
	{"flux", "github.com/fluxcd/kustomize-controller/api", []string{"flux"}, "./..."},
}

// version reads the required version from the module's go.mod.
func (m module) version(root string) (string, error) {
	name := filepath.Join(root, m.dir, "go.mod")
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	if version, found := requiredVersion(string(text), m.requires); found {
		return version, nil
	}
	return "", fmt.Errorf("%s requires no %s", name, m.requires)
}

// requiredVersion finds `path vX.Y.Z` in a go.mod, alone or in a block, never in a replacement.
func requiredVersion(goMod, path string) (string, bool) {
	line := regexp.MustCompile(`(?m)^(?:require)?\s+` + regexp.QuoteMeta(path) + `\s+(v\S+)(?:\s+//.*)?$`)
	if found := line.FindStringSubmatch(goMod); found != nil {
		return found[1], true
	}
	return "", false
}

// key names what the module builds: its version, and a hash of all that decides the result.
func (m module) key(root string) (string, error) {
	version, err := m.version(root)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintln(sum, runtime.GOOS, runtime.GOARCH, m.buildArguments(version, ""))
	err = filepath.WalkDir(filepath.Join(root, m.dir), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		fmt.Fprintf(sum, "%s %d\n%s", filepath.ToSlash(relative), len(content), content)
		return err
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s-%s-%s", m.dir, version, hex.EncodeToString(sum.Sum(nil))[:12]), nil
}

// buildArguments is the one `go build` that makes all programs of the module, so that they share what is compiled.
func (m module) buildArguments(version, into string) []string {
	flags := "-s -w"
	switch m.dir {
	case "kubernetes": // It learns its version from the linker, as Helm does; the others know theirs.
		major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
		minor, _, _ := strings.Cut(rest, ".")
		for _, set := range []string{"gitVersion=" + version, "gitMajor=" + major, "gitMinor=" + minor} {
			flags += " -X k8s.io/component-base/version." + set
		}
	case "helm":
		flags += " -X helm.sh/helm/v4/internal/version.version=" + version
	}
	return []string{"build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", flags, "-o", into + "/", m.target}
}
