package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// readyWithin is generous: two busy cores are still a machine for tests.
var readyWithin = 2 * time.Minute

// poll asks until it is so.
func poll(ctx context.Context, what string, isSo func(context.Context) bool) error {
	for !isSo(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("while waiting for %s: %w", what, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func (c *cluster) etcdReady(ctx context.Context) error {
	return poll(ctx, "etcd", func(ctx context.Context) bool {
		status, _, err := c.request(ctx, http.MethodGet, c.etcd()+"/health", nil)
		return err == nil && status == http.StatusOK
	})
}

func (c *cluster) apiserverReady(ctx context.Context) error {
	return poll(ctx, "kube-apiserver", func(ctx context.Context) bool {
		status, _, err := c.request(ctx, http.MethodGet, c.server()+"/readyz", nil)
		return err == nil && status == http.StatusOK
	})
}

// ready waits until a pod that is made would run: the server answers, the controllers made the service account, and
// the node takes pods.
func (c *cluster) ready(ctx context.Context) error {
	if err := c.apiserverReady(ctx); err != nil {
		return err
	}
	if err := c.createNode(ctx); err != nil {
		return err
	}
	if err := poll(ctx, "the node to take pods", c.nodeTakesPods); err != nil {
		return err
	}
	return poll(ctx, "the service account default", func(ctx context.Context) bool {
		status, _, err := c.request(ctx, http.MethodGet, c.server()+"/api/v1/namespaces/default/serviceaccounts/default", nil)
		return err == nil && status == http.StatusOK
	})
}

func (c *cluster) createNode(ctx context.Context) error {
	status, answer, err := c.request(ctx, http.MethodPost, c.server()+"/api/v1/nodes", fakeNode)
	if err != nil {
		return fmt.Errorf("cannot create the node: %w", err)
	}
	if status != http.StatusCreated && status != http.StatusConflict {
		return fmt.Errorf("cannot create the node: status %d: %s", status, answer)
	}
	return nil
}

// nodeTakesPods is true once the fake kubelet has reported and the controllers have removed the taint of a new node.
func (c *cluster) nodeTakesPods(ctx context.Context) bool {
	status, answer, err := c.request(ctx, http.MethodGet, c.server()+"/api/v1/nodes/fake", nil)
	if err != nil || status != http.StatusOK {
		return false
	}
	return takesPods(answer)
}

func takesPods(node []byte) bool {
	var seen struct {
		Spec   struct{ Taints []struct{ Key string } }
		Status struct {
			Conditions []struct{ Type, Status string }
		}
	}
	if json.Unmarshal(node, &seen) != nil || len(seen.Spec.Taints) > 0 {
		return false
	}
	for _, condition := range seen.Status.Conditions {
		if condition.Type == "Ready" {
			return condition.Status == "True"
		}
	}
	return false
}

func (c *cluster) request(ctx context.Context, method, url string, body []byte) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, errors.Join(err, response.Body.Close())
}
