package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// controlPlane is a cluster that runs.
type controlPlane struct {
	// ctx ends with the control plane; its cause says why, when it ended by itself.
	ctx     context.Context
	end     context.CancelCauseFunc
	keepers *supervisor
	claimed *os.File
	// greeting says that it is ready.
	greeting string
}

// startControlPlane returns when the cluster is ready, or has ended again.
func startControlPlane(ctx context.Context, f folder, programs binaries, version string) (*controlPlane, error) {
	started := time.Now()
	claimed, err := f.claim()
	if err != nil {
		return nil, err
	}
	p, err := tryControlPlane(ctx, f, programs, version)
	if taken := (portTaken{}); errors.As(err, &taken) {
		say("another program took a port; starting once more with others")
		if err = f.startAfresh(); err == nil {
			p, err = tryControlPlane(ctx, f, programs, version)
		}
	}
	if err != nil {
		claimed.Close()
		return nil, err
	}
	p.claimed = claimed
	p.greeting = fmt.Sprintf("control plane %s ready in %.1f s", version, time.Since(started).Seconds())
	return p, nil
}

// tryControlPlane is one start, with ports of its own.
func tryControlPlane(ctx context.Context, f folder, programs binaries, version string) (*controlPlane, error) {
	made, err := newCluster(f, programs, version)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancelCause(ctx)
	p := &controlPlane{ctx: ctx, end: end, keepers: supervise(ctx, made, end)}
	late := exitWith(exitBroken, "not ready after %s", readyWithin)
	waiting, enough := context.WithTimeoutCause(ctx, readyWithin, late)
	defer enough()
	if err := made.ready(waiting); err != nil {
		// A signal needs no explanation, and a component that cannot stay has given its own.
		if ctx.Err() == nil {
			err = fmt.Errorf("%w\n%s", err, made.logTails())
		}
		p.stop()
		return nil, err
	}
	return p, nil
}

// logTails is the end of every component's log.
func (c *cluster) logTails() string {
	var text strings.Builder
	for _, one := range c.components() {
		fmt.Fprintf(&text, "--- %s.log ends so:\n%s\n", one.name, tail(c.folder.log(one.name)))
	}
	return strings.TrimSpace(text.String())
}

// stop ends every component, returns when all have ended, and gives the folder up.
func (p *controlPlane) stop() {
	p.end(nil)
	p.keepers.wait()
	p.claimed.Close() // nil, which may be closed too, in a start that failed
}
