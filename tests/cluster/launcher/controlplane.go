package main

import (
	"context"
	"fmt"
	"os"
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
	made, err := newCluster(f, programs, version)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancelCause(ctx)
	p := &controlPlane{ctx: ctx, end: end, claimed: claimed, keepers: supervise(ctx, made, end)}
	late := fmt.Errorf("not ready after %s", readyWithin)
	waiting, enough := context.WithTimeoutCause(ctx, readyWithin, late)
	defer enough()
	if err := made.ready(waiting); err != nil {
		p.stop()
		return nil, err
	}
	p.greeting = fmt.Sprintf("control plane %s ready in %.1f s", version, time.Since(started).Seconds())
	return p, nil
}

// stop ends every component and returns when all have ended.
func (p *controlPlane) stop() {
	p.end(nil)
	p.keepers.wait()
	p.claimed.Close()
}
