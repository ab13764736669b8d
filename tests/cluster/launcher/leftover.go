package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endPrograms ends the programs that outlived a killed launcher, as they do where endsWithUs promises nothing.
func (f folder) endPrograms() {
	entries, err := os.ReadDir(f.path("pids"))
	if err != nil {
		return
	}
	for _, entry := range entries {
		text, err := os.ReadFile(f.path("pids", entry.Name()))
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || pid <= 1 {
			continue
		}
		for end := time.Now().Add(gentleFor); f.runs(entry.Name(), pid) && time.Now().Before(end); {
			syscall.Kill(pid, syscall.SIGKILL)
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// runs tells whether the process is the program of this folder, and not somebody else's that got the number since:
// every component's command line names the program and the folder.
func (f folder) runs(program string, pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	line, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(line), "/"+program+" ") && strings.Contains(string(line), string(f)+"/")
}
