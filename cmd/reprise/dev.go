package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/embed"
	"github.com/reprise-mq/reprise/broker/server"
	"github.com/reprise-mq/reprise/cmd/cli"
)

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
			c, err := startCluster(nodes, log, os.TempDir())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "cluster of %d nodes: --bootstrap %s\nstop it with Ctrl-C\n", nodes, strings.Join(c.Bootstrap(), ","))
			return errors.Join(c.Wait(cmd.Context()), c.Close())
		},
	}
	cmd.Flags().IntVar(&nodes, "nodes", 3, "number of nodes")
	cmd.Flags().StringVar(&logLevel, "log-level", "warn", "least urgent lines to log: debug, info, warn, error")
	return cmd
}

// startCluster starts a cluster in this process with the settings of real nodes, its data
// in a new folder below the one given.
func startCluster(nodes int, log *slog.Logger, below string) (*embed.Cluster, error) {
	if nodes == 0 { // which leaves the number to embed
		return nil, cli.Usagef("--nodes: %v: 0", embed.ErrNodes)
	}
	c, err := embed.Start(embed.Config{Nodes: nodes, Dir: below, Log: log, Node: func(_ int, c *broker.Config) {
		real := server.NodeConfig(version)
		real.Address, real.Init, real.Join = c.Address, c.Init, c.Join
		*c = real
	}})
	if errors.Is(err, embed.ErrNodes) {
		return nil, cli.Usagef("--nodes: %v", err)
	}
	return c, err
}
