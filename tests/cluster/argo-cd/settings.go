package main

import (
	"context"

	"github.com/argoproj/argo-cd/v3/common"
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/settings"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// overrides are the customizations of kinds, read from `argocd-cm` as Argo CD reads them: by way of an API server. An
// absent one says nothing.
func (q question) overrides() (map[string]v1alpha1.ResourceOverride, error) {
	const namespace = "argocd"
	kept := metav1.ObjectMeta{
		Name: common.ArgoCDConfigMapName, Namespace: namespace, Labels: map[string]string{"app.kubernetes.io/part-of": "argocd"},
	}
	configMap := &corev1.ConfigMap{ObjectMeta: kept}
	if q.ConfigMap != nil {
		configMap.Data = q.ConfigMap.Data
	}
	kept.Name = common.ArgoCDSecretName
	client := fake.NewClientset(configMap, &corev1.Secret{ObjectMeta: kept})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	return settings.NewSettingsManager(ctx, client, namespace).GetResourceOverrides()
}
