package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/server"
	"github.com/reprise-mq/reprise/cmd/cli"
)

// maxDevNodes bounds the nodes of one process.
const maxDevNodes = 9

func newDev() *cobra.Command {
	var nodes int
	var logLevel string
	cmd := &cobra.Command{
		Use:   "dev [--nodes N]",
		Short: "Run a whole cluster in this process, its data in a temporary folder",
		Long: `Run a whole cluster in this process: real nodes on loopback ports, with their
data in a temporary folder that is removed at the end. For trying things out.`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLog(cmd.ErrOrStderr(), logLevel)
			if err != nil {
				return err
			}
			base := server.Config{Node: nodeConfig(), Log: log}
			c, err := startCluster(nodes, base, os.TempDir())
			if err != nil {
				return err
			}
			defer c.stop()
			fmt.Fprintf(cmd.OutOrStdout(), "cluster of %d nodes: --bootstrap %s\nstop it with Ctrl-C\n", nodes, c.bootstrap())
			return c.wait(cmd.Context())
		},
	}
	cmd.Flags().IntVar(&nodes, "nodes", 3, "number of nodes")
	cmd.Flags().StringVar(&logLevel, "log-level", "warn", "least urgent lines to log: debug, info, warn, error")
	return cmd
}

// devCluster is nodes in this process.
type devCluster struct {
	data    string
	servers []*server.Server
}

// startCluster starts nodes on loopback with their data in a new folder below
// the one given.
func startCluster(nodes int, base server.Config, below string) (*devCluster, error) {
	if nodes < 1 || nodes > maxDevNodes {
		return nil, cli.Usagef("--nodes %d: a cluster in one process has 1 to %d nodes", nodes, maxDevNodes)
	}
	data, err := os.MkdirTemp(below, "reprise-dev-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	c := &devCluster{data: data}
	for i := range nodes {
		cfg := base
		cfg.Data, cfg.Listen = filepath.Join(data, "node-"+strconv.Itoa(i+1)), "127.0.0.1:0"
		cfg.Log = base.Log.With("node", i+1)
		cfg.Node.Init = i == 0
		if i > 0 {
			cfg.Node.Join = []env.Endpoint{env.Endpoint(c.servers[0].Address())}
		}
		s, err := server.Start(cfg)
		if err != nil {
			c.stop()
			return nil, err
		}
		c.servers = append(c.servers, s)
	}
	return c, nil
}

// bootstrap is the addresses, as --bootstrap takes them.
func (c *devCluster) bootstrap() string {
	var list string
	for i, s := range c.servers {
		if i > 0 {
			list += ","
		}
		list += s.Address()
	}
	return list
}

// wait returns when ctx ends, or with the error of the first node that fails.
func (c *devCluster) wait(ctx context.Context) error {
	failed := make(chan error, len(c.servers))
	for _, s := range c.servers {
		go func() {
			select {
			case <-s.Failed():
				failed <- s.Err()
			case <-ctx.Done():
			}
		}()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// stop ends the nodes and removes their data.
func (c *devCluster) stop() error {
	for _, s := range c.servers {
		s.Kill()
	}
	return os.RemoveAll(c.data)
}
