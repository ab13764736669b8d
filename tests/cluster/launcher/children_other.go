//go:build !linux

package main

import "syscall"

// endsWithUs can promise nothing here: a launcher that is killed leaves its children behind.
func endsWithUs(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{}
}
