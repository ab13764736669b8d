package main

import "syscall"

// endsWithUs has the kernel signal the child when the launcher ends, however it ends.
func endsWithUs(signal syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: signal}
}
