package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
)

func TestServerAndClientKnowEachOther(t *testing.T) {
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	serving, err := ca.server("kube-apiserver")
	if err != nil {
		t.Fatal(err)
	}
	admin, err := ca.client("admin", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	load := func(p pair) []tls.Certificate {
		t.Helper()
		loaded, err := tls.X509KeyPair(p.certificate, p.key)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{loaded}
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.parsed)
	left, right := net.Pipe()
	server := tls.Server(left, &tls.Config{
		Certificates: load(serving), ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	client := tls.Client(right, &tls.Config{Certificates: load(admin), RootCAs: roots, ServerName: "127.0.0.1"})
	refused := make(chan error, 1)
	go func() { refused <- client.Handshake() }()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; err != nil {
		t.Fatal(err)
	}
	subject := server.ConnectionState().PeerCertificates[0].Subject
	if subject.CommonName != "admin" || len(subject.Organization) != 1 || subject.Organization[0] != "system:masters" {
		t.Errorf("the server sees %v", subject)
	}
}
