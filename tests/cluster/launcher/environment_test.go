package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestAShellReadsWhatWeExport(t *testing.T) {
	t.Setenv("HELM", "")
	f := folder("/tmp/it's $HOME; a \"b\"")
	variables := environment(f, binaries{"helm": "/cache/helm"})
	script := export(variables) + ` # end\nprintf '%s\n' "$KUBECONFIG" "$TIDEGATE_TEST_KUBECONFIG" "$TIDEGATE_TEST_CLUSTER" "$HELM"`
	out, err := exec.Command("sh", "-c", strings.Replace(script, `\n`, "\n", 1)).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := f.kubeconfig() + "\n" + f.kubeconfig() + "\n" + string(f) + "\n/cache/helm\n"
	if string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestAHelmOfTheUsersOwnStays(t *testing.T) {
	t.Setenv("HELM", "/usr/bin/helm")
	if got := export(environment("/d", nil)); strings.Contains(got, "HELM") {
		t.Error(got)
	}
}
