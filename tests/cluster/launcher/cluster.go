package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"path/filepath"
	"time"
)

// cluster is one control plane: its folder, its ports, and a client of its API server.
type cluster struct {
	folder   folder
	binaries binaries
	version  string

	etcdPort, peerPort, apiPort int

	client *http.Client
}

// newCluster fills the folder with all that the programs read; nothing runs yet.
func newCluster(f folder, programs binaries, version string) (*cluster, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	c := &cluster{folder: f, binaries: programs, version: version, etcdPort: ports[0], peerPort: ports[1], apiPort: ports[2]}
	if err := c.writeSecrets(); err != nil {
		return nil, fmt.Errorf("cannot make the certificates: %w", err)
	}
	for name, content := range map[string][]byte{"audit-policy.yaml": auditPolicy, "stages.yaml": kwokStages} {
		if err := f.write(name, content); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *cluster) server() string { return fmt.Sprintf("https://127.0.0.1:%d", c.apiPort) }
func (c *cluster) etcd() string   { return fmt.Sprintf("https://127.0.0.1:%d", c.etcdPort) }

// writeSecrets makes certificates, keys and kubeconfigs. Each client has its own name, for the audit log tells it.
func (c *cluster) writeSecrets() error {
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	serving, err := ca.server("kube-apiserver")
	if err != nil {
		return err
	}
	storing, err := ca.server("etcd")
	if err != nil {
		return err
	}
	private, public, err := serviceAccountKey()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"pki/ca.crt": ca.certificate, "pki/ca.key": ca.key,
		"pki/apiserver.crt": serving.certificate, "pki/apiserver.key": serving.key,
		"pki/etcd.crt": storing.certificate, "pki/etcd.key": storing.key,
		"pki/service-account.key": private, "pki/service-account.pub": public,
	} {
		if err := c.folder.write(name, content); err != nil {
			return err
		}
	}
	for component, user := range map[string]string{
		"kube-controller-manager": "system:kube-controller-manager",
		"kube-scheduler":          "system:kube-scheduler",
		"kwok":                    "kwok",
	} {
		identity, err := ca.client(user, "system:masters")
		if err != nil {
			return err
		}
		name := filepath.Join("pki", component+".kubeconfig")
		if err := c.folder.writeKubeconfig(name, c.server(), user, ca.certificate, identity.credentials()); err != nil {
			return err
		}
	}
	if err := c.writeAdministrator(ca); err != nil {
		return err
	}
	return c.makeClient(ca)
}

// writeAdministrator makes the kubeconfig of the tests. It holds a token and no certificate: a certificate would win over
// the `--token` with which a test is somebody else.
func (c *cluster) writeAdministrator(ca *authority) error {
	token := rand.Text()
	if err := c.folder.write("pki/tokens.csv", fmt.Appendf(nil, "%s,admin,admin,\"system:masters\"\n", token)); err != nil {
		return err
	}
	return c.folder.writeKubeconfig("kubeconfig", c.server(), "admin", ca.certificate, map[string]string{"token": token})
}

// makeClient gives the launcher a name of its own too.
func (c *cluster) makeClient(ca *authority) error {
	identity, err := ca.client("tidegate-test-launcher", "system:masters")
	if err != nil {
		return err
	}
	certificate, err := tls.X509KeyPair(identity.certificate, identity.key)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.parsed)
	c.client = &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}},
			// A connection to a server that was killed must not be taken for the one to its successor.
			DisableKeepAlives: true,
		},
	}
	return nil
}
