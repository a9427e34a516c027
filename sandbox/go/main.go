// Command kube is the sandbox's control plane in one binary: etcd, the Kubernetes API server, controller
// manager and scheduler, and kubectl, chosen by the first argument. They share most of their code, so one
// binary is a third of the size of five and links once.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

const usage = "usage: kube etcd|apiserver|controller-manager|scheduler|kubectl [flags]"

func main() {
	// A link named kubectl is kubectl, so that people and scripts find the tool under the name they know.
	if filepath.Base(os.Args[0]) == "kubectl" {
		os.Exit(cli.Run(kubectl.NewDefaultKubectlCommand()))
	}
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	name := os.Args[1]
	// cobra reads os.Args itself; each part must see its own name in front.
	os.Args = append([]string{name}, os.Args[2:]...)
	switch name {
	case "etcd":
		if err := etcd(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "etcd:", err)
			os.Exit(1)
		}
	case "apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "controller-manager":
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	case "scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "kubectl":
		os.Exit(cli.Run(kubectl.NewDefaultKubectlCommand()))
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
}

// etcd runs one member until SIGTERM or SIGINT. It embeds the server because etcd's own main lives in a
// module that is not published apart from its tools.
func etcd(args []string) error {
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	dir := flags.String("data-dir", "", "directory of the data")
	client := flags.String("client-url", "", "URL to serve clients on")
	peer := flags.String("peer-url", "", "URL to serve peers on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	clientURL, err := url.Parse(*client)
	if err != nil {
		return fmt.Errorf("--client-url: %w", err)
	}
	peerURL, err := url.Parse(*peer)
	if err != nil {
		return fmt.Errorf("--peer-url: %w", err)
	}

	c := embed.NewConfig()
	c.Dir = *dir
	c.LogLevel = "error"
	// A sandbox survives the death of its processes, which the page cache does too; not the death of the
	// machine.
	c.UnsafeNoFsync = true
	// One member on one machine elects itself: no reason to wait the default second for it.
	c.TickMs, c.ElectionMs = 20, 200
	// A kept sandbox must not grow without end, and clients must see a watch gap as on a real cluster.
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, "30m"
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{*clientURL}, []url.URL{*clientURL}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{*peerURL}, []url.URL{*peerURL}
	c.InitialCluster = c.InitialClusterFromName(c.Name)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	e, err := embed.StartEtcd(c)
	if err != nil {
		return err
	}
	defer e.Close()
	if err := beginLate(ctx, e); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-e.Err():
		return err
	}
}

// beginLate writes once before anybody lists, as every cluster that is not a second old has. An API server that
// lists an etcd without any write remembers everything from version 1 on, and never answers 410 Gone.
func beginLate(ctx context.Context, e *embed.Etcd) error {
	select {
	case <-e.Server.ReadyNotify():
	case err := <-e.Err():
		return err
	case <-ctx.Done():
		return nil
	}
	_, err := e.Server.Put(ctx, &etcdserverpb.PutRequest{Key: []byte("/sandbox/begun"), Value: []byte("1")})
	return err
}
