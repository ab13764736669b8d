package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestAShellReadsWhatWeExport(t *testing.T) {
	t.Setenv("HELM", "")
	t.Setenv("KUBECTL", "")
	f := folder("/tmp/it's $HOME; a \"b\"")
	variables := environment(f, binaries{"helm": "/cache/helm", "kubectl": "/cache/kubectl"})
	script := export(variables) + ` # end\nprintf '%s\n' "$KUBECONFIG" "$TIDEGATE_TEST_KUBECONFIG" "$TIDEGATE_TEST_CLUSTER" "$HELM" "$KUBECTL"`
	out, err := exec.Command("sh", "-c", strings.Replace(script, `\n`, "\n", 1)).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := f.kubeconfig() + "\n" + f.kubeconfig() + "\n" + string(f) + "\n/cache/helm\n/cache/kubectl\n"
	if string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestWhatTheUserNamedStays(t *testing.T) {
	t.Setenv("HELM", "/usr/bin/helm")
	t.Setenv("KUBECTL", "")
	programs := binaries{"kubectl": "/cache/kubectl"}
	if got := export(clients(programs)); got != "export KUBECTL=/cache/kubectl" {
		t.Error(got)
	}
	t.Setenv("KUBECTL", "kubectl")
	if got := export(clients(programs)); got != "true" {
		t.Error(got)
	}
}
