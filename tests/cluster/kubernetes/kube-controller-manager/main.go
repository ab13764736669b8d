// kube-controller-manager is Kubernetes' own program, built from its Go module.
package main

import (
	"os"
	_ "time/tzdata" // CronJobs may name a time zone

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	os.Exit(cli.Run(app.NewControllerManagerCommand()))
}
