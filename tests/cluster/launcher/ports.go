package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
)

// Ports are taken below the range from which systems give outgoing connections theirs (from 32768 on Linux): nobody
// takes the port of a component that is about to be restarted.
const (
	firstPort = 20000
	lastPort  = 29999
)

// portTaken is the end of a component whose port somebody else took, between our look at it and the component's.
type portTaken struct{ error }

func (p portTaken) Unwrap() error { return p.error }

// whetherPortTaken marks the error of a component whose log ends so.
func whetherPortTaken(err error, log string) error {
	if strings.Contains(log, syscall.EADDRINUSE.Error()) {
		return portTaken{err}
	}
	return err
}

// freePorts picks that many ports of the loopback interface on which nobody listens.
func freePorts(count int) ([]int, error) {
	taken := map[int]bool{}
	var ports []int
	for range 1000 {
		if len(ports) == count {
			return ports, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if taken[port] {
			continue
		}
		taken[port] = true
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		listener.Close()
		ports = append(ports, port)
	}
	return nil, errors.New("found no free port on the loopback interface")
}
