package main

import (
	"context"
	"fmt"
)

// component is one program of the control plane.
type component struct {
	name      string
	arguments []string
	// needs waits for what the program would end without.
	needs func(context.Context) error
}

// components are in the order of their start.
func (c *cluster) components() []component {
	return []component{
		{"etcd", c.etcdArguments(), nil},
		{"kube-apiserver", c.apiserverArguments(), c.etcdReady},
		{"kube-controller-manager", c.controllerManagerArguments(), c.apiserverReady},
		{"kube-scheduler", c.schedulerArguments(), c.apiserverReady},
		{"kwok", c.kwokArguments(), c.apiserverReady},
	}
}

func (c *cluster) etcdArguments() []string {
	peer := fmt.Sprintf("https://127.0.0.1:%d", c.peerPort)
	return []string{
		"--data-dir=" + c.folder.path("etcd"),
		"--listen-client-urls=" + c.etcd(),
		"--advertise-client-urls=" + c.etcd(),
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		// Without certificates, every user of the machine could read and write all that is stored.
		"--cert-file=" + c.folder.path("pki", "etcd.crt"),
		"--key-file=" + c.folder.path("pki", "etcd.key"),
		"--trusted-ca-file=" + c.folder.path("pki", "ca.crt"),
		"--client-cert-auth",
		"--peer-cert-file=" + c.folder.path("pki", "etcd.crt"),
		"--peer-key-file=" + c.folder.path("pki", "etcd.key"),
		"--peer-trusted-ca-file=" + c.folder.path("pki", "ca.crt"),
		"--peer-client-cert-auth",
		"--log-level=warn",
		// It outlives a killed process, only not a machine that loses power.
		"--unsafe-no-fsync",
		// Alone, it waits for nobody's vote.
		"--heartbeat-interval=20",
		"--election-timeout=200",
	}
}

func (c *cluster) apiserverArguments() []string {
	return []string{
		"--etcd-servers=" + c.etcd(),
		"--etcd-cafile=" + c.folder.path("pki", "ca.crt"),
		"--etcd-certfile=" + c.folder.path("pki", "apiserver.crt"),
		"--etcd-keyfile=" + c.folder.path("pki", "apiserver.key"),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", c.apiPort),
		// Nobody connects to the service `kubernetes`, since no pod really runs; an address of the documentation's
		// range spares the search for one on a machine without a network.
		"--advertise-address=192.0.2.1",
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + c.folder.path("pki", "apiserver.crt"),
		"--tls-private-key-file=" + c.folder.path("pki", "apiserver.key"),
		"--client-ca-file=" + c.folder.path("pki", "ca.crt"),
		"--token-auth-file=" + c.folder.path("pki", "tokens.csv"),
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.folder.path("pki", "service-account.pub"),
		"--service-account-signing-key-file=" + c.folder.path("pki", "service-account.key"),
		"--audit-policy-file=" + c.folder.path("audit-policy.yaml"),
		"--audit-log-path=" + c.folder.path("audit.log"),
		// A line is there before its answer is, and all lines stay in one file.
		"--audit-log-mode=blocking",
		"--audit-log-maxsize=0",
	}
}

func (c *cluster) controllerManagerArguments() []string {
	return []string{
		"--kubeconfig=" + c.folder.path("pki", "kube-controller-manager.kubeconfig"),
		"--leader-elect=false",
		"--secure-port=0",
		"--root-ca-file=" + c.folder.path("pki", "ca.crt"),
		"--cluster-signing-cert-file=" + c.folder.path("pki", "ca.crt"),
		"--cluster-signing-key-file=" + c.folder.path("pki", "ca.key"),
		"--service-account-private-key-file=" + c.folder.path("pki", "service-account.key"),
		// The fake kubelet renews no lease; with the default of 50 s its node, and the pods on it, would cease to be ready.
		"--node-monitor-grace-period=8760h",
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
	}
}

func (c *cluster) schedulerArguments() []string {
	return []string{
		"--kubeconfig=" + c.folder.path("pki", "kube-scheduler.kubeconfig"),
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
	}
}

func (c *cluster) kwokArguments() []string {
	return []string{
		"--kubeconfig=" + c.folder.path("pki", "kwok.kubeconfig"),
		"--config=" + c.folder.path("stages.yaml"),
		"--manage-all-nodes=true",
		"--node-ip=127.0.0.1",
		"--cidr=10.244.0.0/16",
	}
}
