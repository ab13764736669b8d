package main

import (
	"os"
	"strings"
)

// environment is what tests find the control plane by. A Helm of the user's own is the one they get.
func environment(f folder, programs binaries) []string {
	variables := []string{
		"KUBECONFIG=" + f.kubeconfig(), "TIDEGATE_TEST_KUBECONFIG=" + f.kubeconfig(), "TIDEGATE_TEST_CLUSTER=" + string(f),
	}
	if os.Getenv("HELM") == "" {
		variables = append(variables, "HELM="+programs["helm"])
	}
	return variables
}

// export is the same for a shell to evaluate.
func export(variables []string) string {
	line := "export"
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		line += " " + name + "=" + quote(value)
	}
	return line
}

// quote makes one word of a shell's, which stays as it is if it is one.
func quote(text string) string {
	plain := strings.TrimLeft(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz0123456789/._-") == ""
	if plain && text != "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
