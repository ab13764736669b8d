// Flux's own answers about an object: how healthy kstatus finds it, what of it the ignore rules of a Kustomization leave,
// and what becomes of Git's object in a cluster. It reads a JSON list of questions from its standard input and prints the
// list of their answers; the tests hold docs/gitops.md against them.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	// Kustomization is what the object belongs to.
	Kustomization kustomizev1.Kustomization  `json:"kustomization"`
	Object        *unstructured.Unstructured `json:"object"`
	// Apply asks to apply the object in the cluster of KUBECONFIG.
	Apply bool `json:"apply"`
}

type answer struct {
	Status  status.Status `json:"status"`
	Message string        `json:"message"`
	// Left is the object without what the rules ignore.
	Left *unstructured.Unstructured `json:"left"`
	// Action is what applying it did: created, configured, unchanged or skipped.
	Action string `json:"action,omitempty"`
}

func main() {
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	var questions []question
	if err := decoder.Decode(&questions); err != nil {
		fail(err)
	}
	answers := make([]answer, len(questions))
	for at, q := range questions {
		var err error
		if answers[at], err = q.answer(context.Background()); err != nil {
			fail(err)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func (q question) answer(ctx context.Context) (answer, error) {
	result, err := status.Compute(q.Object)
	if err != nil {
		return answer{}, err
	}
	left, err := without(q.Object, rules(q.Kustomization))
	if err != nil {
		return answer{}, err
	}
	a := answer{Status: result.Status, Message: result.Message, Left: left}
	if q.Apply {
		a.Action, err = apply(ctx, q.Kustomization, q.Object)
	}
	return a, err
}
