// The launcher starts a real Kubernetes control plane for tests: Kubernetes' own programs and etcd, as processes of this
// machine, with a fake kubelet. README.md in the folder above says how it is used; the script `run` there builds this
// program and executes it.
//
// Start reading at components.go (what runs, with which arguments) and supervise.go (how it is kept running).
package main

import (
	"fmt"
	"os"
	"slices"
)

// serveVerb is what `up` tells the launcher that it detaches.
const serveVerb = "--serve"

const usage = `usage:
  tests/cluster/run COMMAND…   run COMMAND with a control plane of its own; KUBECONFIG is set
  tests/cluster/run up DIR     start a control plane that stays, in DIR
  tests/cluster/run down DIR   end it and remove DIR
  tests/cluster/run build      build the programs, nothing else
  tests/cluster/run programs   the same, and tell where KUBECTL and HELM are, for a shell to evaluate
  tests/cluster/run program P  build P and what is built with it, nothing else, and tell where P is`

func main() {
	code, err := do(os.Args)
	if err != nil && len(os.Args) > 2 && evaluated[os.Args[2]] {
		fmt.Println("false") // `eval` of nothing succeeds, and what follows would meet the user's own cluster
	}
	if by, is := codeOf(err); is {
		os.Exit(by)
	}
	if err != nil {
		say("%s", err)
		os.Exit(exitCode(err))
	}
	os.Exit(code)
}

// evaluated are the verbs whose output is for a shell to evaluate.
var evaluated = map[string]bool{"up": true, "programs": true}

// do does what the arguments say: the program's name, the folder of our modules, then the user's.
func do(arguments []string) (int, error) {
	cache := os.Getenv("TIDEGATE_TEST_CACHE")
	if len(arguments) < 3 || cache == "" {
		return 0, exitWith(exitUsage, "%s", usage)
	}
	root, words := arguments[1], arguments[2:]
	switch first := words[0]; {
	case first == "-h" || first == "--help":
		fmt.Println(usage)
		return 0, nil
	case first == "build" && len(words) == 1:
		_, err := build(root, cache, modules)
		return 0, err
	case first == "programs" && len(words) == 1:
		programs, err := build(root, cache, modules)
		if err == nil {
			fmt.Println(export(clients(programs)))
		}
		return 0, err
	case first == "program" && len(words) == 2:
		path, err := program(root, cache, words[1])
		if err == nil {
			fmt.Println(path)
		}
		return 0, err
	case first == "up" && len(words) == 2:
		return 0, up(root, cache, words[1])
	case first == "down" && len(words) == 2:
		return 0, down(words[1])
	case first == serveVerb && len(words) == 2:
		return 0, serve(root, cache, words[1])
	case first == "--" && len(words) > 1:
		return runCommand(root, cache, words[1:])
	case first == "build" || first == "program" || evaluated[first] || first == "down" || first[:min(1, len(first))] == "-" || first == "":
		return 0, exitWith(exitUsage, "%s", usage)
	default:
		return runCommand(root, cache, words)
	}
}

// prepared builds what is missing, and tells the version of the control plane.
func prepared(root, cache string) (binaries, string, error) {
	programs, err := build(root, cache, modules)
	if err != nil {
		return nil, "", err
	}
	for _, m := range modules {
		if m.dir == "kubernetes" {
			version, err := m.version(root)
			return programs, version, err
		}
	}
	panic("no module is called kubernetes")
}

// program builds the module that a program is of, and tells where the program is.
func program(root, cache, name string) (string, error) {
	for _, m := range modules {
		if slices.Contains(m.programs, name) {
			programs, err := build(root, cache, []module{m})
			return programs[name], err
		}
	}
	return "", exitWith(exitUsage, "no module builds %s", name)
}

// say prints a line for the user, apart from the command's output.
func say(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
}
