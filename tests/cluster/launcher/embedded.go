package main

import _ "embed"

// The files that the programs read, and the one Node; they are kept as such so that they read like any other.
var (
	//go:embed files/audit-policy.yaml
	auditPolicy []byte
	//go:embed files/stages.yaml
	kwokStages []byte
	//go:embed files/node.json
	fakeNode []byte
)
