package main

import (
	"context"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/cmd/cli"
)

func newCampaign() *cobra.Command {
	f := &runFlags{}
	var minutes int
	cmd := &cobra.Command{
		Use:   "campaign",
		Short: "Run fresh seeds for a given time",
		Long: `Run fresh seeds for a given time. They begin at a seed taken from the clock, so that
no two campaigns run the same ones.`,
		Example: "  reprise-sim campaign --minutes 10 --save out/campaign",
		Args:    cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if minutes < 1 || f.jobs < 1 {
				return cli.Usagef("--minutes %d, --jobs %d: each is at least 1", minutes, f.jobs)
			}
			end := time.Now().Add(time.Duration(minutes) * time.Minute)
			return campaign(cmd.Context(), newBoard(cmd.OutOrStdout(), cmd.ErrOrStderr(), f), end)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&minutes, "minutes", 10, "how long to go on")
	flags.IntVar(&f.jobs, "jobs", runtime.NumCPU(), "how many to run at the same time")
	flags.StringVar(&f.save, "save", "", "keep plan, history and account of each failure in this `folder`")
	flags.BoolVar(&f.json, "json", false, "print one JSON object per seed instead of text")
	return cmd
}

// campaign runs seeds until the time is over.
func campaign(ctx context.Context, b *board, end time.Time) error {
	tasks := make(chan task)
	go func() {
		defer close(tasks)
		for seed := uint64(time.Now().UnixMilli()) * 1000; time.Now().Before(end); seed++ {
			select {
			case tasks <- b.flags.task(seed):
			case <-ctx.Done():
				return
			}
		}
	}()
	return b.play(ctx, tasks, false)
}
