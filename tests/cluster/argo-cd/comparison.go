package main

import (
	"encoding/json"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/argo/diff"
	"github.com/argoproj/argo-cd/v3/util/argo/normalizers"
	jsonpatch "github.com/evanphx/json-patch"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// comparison holds objects against Git's, leaving out what an Application and the customizations say.
type comparison struct {
	config diff.DiffConfig
	// respected says that a sync leaves out the same.
	respected bool
}

func newComparison(app *v1alpha1.Application, overrides map[string]v1alpha1.ResourceOverride) (comparison, error) {
	if app == nil {
		app = &v1alpha1.Application{}
	}
	config, err := diff.NewDiffConfigBuilder().
		WithDiffSettings(app.Spec.IgnoreDifferences, overrides, false, normalizers.IgnoreNormalizerOpts{}).
		WithTracking("", string(v1alpha1.TrackingMethodAnnotation)).
		WithNoCache().
		Build()
	respected := app.Spec.SyncPolicy != nil && app.Spec.SyncPolicy.SyncOptions.HasOption("RespectIgnoreDifferences=true")
	return comparison{config, respected}, err
}

func (c comparison) inSync(live, target *unstructured.Unstructured) (bool, error) {
	result, err := diff.StateDiff(live, target, c.config)
	return !result.Modified, err
}

// applied is Git's object with what is left out put in from the live one: for kinds that Argo CD knows no Go type of, by
// the JSON merge patch from the live object without it to the live object, which replaces lists as a whole. Argo CD has
// this in its controller, where nobody else can call it.
func (c comparison) applied(live, target *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if !c.respected {
		return target, nil
	}
	normalized, err := diff.Normalize([]*unstructured.Unstructured{live}, []*unstructured.Unstructured{target}, c.config)
	if err != nil {
		return nil, err
	}
	var documents [3][]byte
	for at, object := range []*unstructured.Unstructured{normalized.Lives[0], live, normalized.Targets[0]} {
		if documents[at], err = object.MarshalJSON(); err != nil {
			return nil, err
		}
	}
	patch, err := jsonpatch.CreateMergePatch(documents[0], documents[1])
	if err != nil {
		return nil, err
	}
	patched, err := jsonpatch.MergePatch(documents[2], patch)
	if err != nil {
		return nil, err
	}
	applied := &unstructured.Unstructured{}
	return applied, json.Unmarshal(patched, applied)
}
