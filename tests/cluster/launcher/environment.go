package main

import (
	"os"
	"strings"
)

// environment is what tests find the control plane by.
func environment(f folder, programs binaries) []string {
	return append([]string{
		"KUBECONFIG=" + f.kubeconfig(), "TIDEGATE_TEST_KUBECONFIG=" + f.kubeconfig(), "TIDEGATE_TEST_CLUSTER=" + string(f),
	}, clients(programs)...)
}

// clients name the programs that the tests themselves run. One that the user has named is the one they get.
func clients(programs binaries) []string {
	var variables []string
	for _, name := range []string{"kubectl", "helm"} {
		if variable := strings.ToUpper(name); os.Getenv(variable) == "" {
			variables = append(variables, variable+"="+programs[name])
		}
	}
	return variables
}

// export is the same for a shell to evaluate.
func export(variables []string) string {
	if len(variables) == 0 {
		return "true" // a bare `export` would list what is exported
	}
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
