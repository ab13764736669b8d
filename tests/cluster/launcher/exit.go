package main

import (
	"errors"
	"fmt"
)

// Exit codes of our own, after sysexits.h. Every other one is the command's.
const (
	exitUsage       = 64
	exitUnavailable = 69 // Go is missing, or a program could not be built
	exitBroken      = 70 // the control plane could not start or stay
)

// exitError is an error that chooses the exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// exitWith makes an error that ends the launcher with code.
func exitWith(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// exitCode is the code an error asks for; what asks for none is a broken control plane.
func exitCode(err error) int {
	var coded *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &coded):
		return coded.code
	default:
		return exitBroken
	}
}
