// Argo CD's own answers to three questions about an object: how healthy it is, whether it differs from Git's, and what a
// sync would apply. It reads a JSON list of questions from its standard input and prints the list of their answers; the
// tests hold docs/gitops.md against them.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/gitops-engine/pkg/health"
	log "github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	// ConfigMap is `argocd-cm`.
	ConfigMap *corev1.ConfigMap `json:"configMap"`
	// Application is what the object belongs to.
	Application *v1alpha1.Application `json:"application"`
	// Live is the object as it is in the cluster.
	Live *unstructured.Unstructured `json:"live"`
	// Target is the object as Git has it; without it only the health is asked for.
	Target *unstructured.Unstructured `json:"target"`
}

type answer struct {
	Health *health.HealthStatus `json:"health"`
	InSync bool                 `json:"inSync"`
	// Applied is what a sync would apply.
	Applied *unstructured.Unstructured `json:"applied,omitempty"`
}

func main() {
	// It is talkative, and its answers are what is asked for.
	log.SetOutput(io.Discard)
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	var questions []question
	if err := decoder.Decode(&questions); err != nil {
		fail(err)
	}
	answers := make([]answer, len(questions))
	for at, q := range questions {
		var err error
		if answers[at], err = q.answer(); err != nil {
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

func (q question) answer() (answer, error) {
	overrides, err := q.overrides()
	if err != nil {
		return answer{}, err
	}
	status, err := health.GetResourceHealth(q.Live, lua.ResourceHealthOverrides(overrides))
	if err != nil || q.Target == nil {
		return answer{Health: status}, err
	}
	comparison, err := newComparison(q.Application, overrides)
	if err != nil {
		return answer{}, err
	}
	inSync, err := comparison.inSync(q.Live, q.Target)
	if err != nil {
		return answer{}, err
	}
	applied, err := comparison.applied(q.Live, q.Target)
	return answer{status, inSync, applied}, err
}
