package main

import (
	"github.com/reprise-mq/reprise/cmd/cli"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/spf13/cobra"
)

// chosen is the seed that a command is about, and what its plan is made of: as run takes
// them, so that what run has found can be looked at without a file.
type chosen struct{ task }

// kindsOfPlans are the flags that say what the plan of a seed is made of.
var kindsOfPlans = []string{"scenario", "workload", "unrestricted"}

// on gives a command the flags.
func (c *chosen) on(cmd *cobra.Command, seed string) {
	flags := cmd.Flags()
	flags.Uint64Var(&c.Seed, "seed", 0, seed)
	flags.StringVar(&c.Scenario, "scenario", "", "with --seed: the plan that consists of the scenario of this `name`")
	flags.StringVar(&c.Workload, "workload", "", "with --seed: the plan with the workload of this `name`")
	flags.BoolVar(&c.Unrestricted, "unrestricted", false, "with --seed: the plan that keeps no majority from damage")
	cmd.MarkFlagsMutuallyExclusive(kindsOfPlans...)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 || (len(args) == 1) == flags.Changed("seed") {
			return cli.Usagef("%s what? Give one FILE or --seed N", cmd.Name())
		}
		for _, name := range kindsOfPlans {
			if flags.Changed(name) && !flags.Changed("seed") {
				return cli.Usagef("--%s: it is for --seed; a FILE says what its plan is", name)
			}
		}
		return nil
	}
}

// generate makes the plan of the seed.
func (c *chosen) generate() (*plan.Plan, error) {
	p, err := c.plan()
	if err != nil {
		return nil, cli.Usagef("--seed %d: %v", c.Seed, err)
	}
	return p, nil
}
