package main

import (
	"os/exec"
	"runtime"
)

// starts is served by one goroutine on a thread of its own that lives as long as the launcher does. Linux sends a
// child its parent-death signal when the thread that started it ends, and Go ends threads as it likes.
var starts = make(chan func())

func init() {
	go func() {
		runtime.LockOSThread()
		for start := range starts {
			start()
		}
	}()
}

// start starts a child that ends with the launcher.
func start(command *exec.Cmd) error {
	failed := make(chan error)
	starts <- func() { failed <- command.Start() }
	return <-failed
}

// run starts a child and waits for its end.
func run(command *exec.Cmd) error {
	if err := start(command); err != nil {
		return err
	}
	return command.Wait()
}
