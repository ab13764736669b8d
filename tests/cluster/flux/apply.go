package main

import (
	"context"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/jsondiff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// rules are the ignore rules of a Kustomization as kustomize-controller hands them on.
func rules(k kustomizev1.Kustomization) []jsondiff.IgnoreRule {
	var rules []jsondiff.IgnoreRule
	for _, rule := range k.Spec.Ignore {
		compiled := jsondiff.IgnoreRule{Paths: rule.Paths}
		if target := rule.Target; target != nil {
			compiled.Selector = &jsondiff.Selector{
				Group: target.Group, Version: target.Version, Kind: target.Kind, Name: target.Name,
				Namespace: target.Namespace, AnnotationSelector: target.AnnotationSelector, LabelSelector: target.LabelSelector,
			}
		}
		rules = append(rules, compiled)
	}
	return rules
}

// without is the object without what the rules that select it ignore.
func without(object *unstructured.Unstructured, rules []jsondiff.IgnoreRule) (*unstructured.Unstructured, error) {
	left := object.DeepCopy()
	compiled, err := jsondiff.CompileIgnoreRules(rules)
	if err != nil {
		return nil, err
	}
	for selector, paths := range compiled {
		if selector.MatchUnstructured(object) {
			if err := jsondiff.ApplyPatchToUnstructured(left, jsondiff.GenerateRemovePatch(paths...)); err != nil {
				return nil, err
			}
		}
	}
	return left, nil
}

// apply applies the object as kustomize-controller does, with its name and with the annotations that it heeds.
func apply(ctx context.Context, k kustomizev1.Kustomization, object *unstructured.Unstructured) (string, error) {
	config, err := clientcmd.BuildConfigFromFlags("", clientcmd.NewDefaultClientConfigLoadingRules().GetDefaultFilename())
	if err != nil {
		return "", err
	}
	cluster, err := client.New(config, client.Options{})
	if err != nil {
		return "", err
	}
	group := kustomizev1.GroupVersion.Group
	options := ssa.DefaultApplyOptions()
	options.ExclusionSelector = map[string]string{
		group + "/reconcile": kustomizev1.DisabledValue, group + "/ssa": kustomizev1.IgnoreValue,
	}
	options.IfNotPresentSelector = map[string]string{group + "/ssa": kustomizev1.IfNotPresentValue}
	options.DriftIgnoreRules = rules(k)
	manager := ssa.NewResourceManager(cluster, nil, ssa.Owner{Field: "kustomize-controller", Group: group})
	entry, err := manager.Apply(ctx, object, options)
	if err != nil {
		return "", err
	}
	return entry.Action.String(), nil
}
