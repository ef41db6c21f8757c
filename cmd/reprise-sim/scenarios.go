package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/cmd/cli"
	"github.com/reprise-mq/reprise/sim/plan"
)

func newScenarios() *cobra.Command {
	return &cobra.Command{
		Use:     "scenarios",
		Short:   "List the scenarios that run --scenario takes",
		Example: "  reprise-sim scenarios",
		Args:    cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, s := range plan.Scenarios() {
				fmt.Fprintf(cmd.OutOrStdout(), "%-22s%s\n", s.Name, s.Says)
			}
			return nil
		},
	}
}
