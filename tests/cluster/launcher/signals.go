package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// signalled is the cause of a context that a signal ended.
type signalled struct{ signal syscall.Signal }

func (s signalled) Error() string { return "ended by signal: " + s.signal.String() }

// withSignals gives a context that ends with the first signal, and a channel that gets that one and the next.
func withSignals() (context.Context, <-chan syscall.Signal) {
	ctx, end := context.WithCancelCause(context.Background())
	arrived := make(chan os.Signal, 8)
	passed := make(chan syscall.Signal, 8)
	signal.Notify(arrived, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for one := range arrived {
			number := one.(syscall.Signal)
			passed <- number
			end(signalled{number})
		}
	}()
	return ctx, passed
}

// codeOf is the exit code a shell gives to what a signal ended, for an error that came of one.
func codeOf(err error) (int, bool) {
	var by signalled
	if errors.As(err, &by) {
		return 128 + int(by.signal), true
	}
	return 0, false
}
