package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/cmd/cli"
)

// connection is the flags of every command that asks a cluster for something.
type connection struct {
	bootstrap []string
	timeout   time.Duration
}

func (c *connection) register(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&c.bootstrap, "bootstrap", nil, "HOST:PORT of one or more nodes of the cluster")
	cmd.Flags().DurationVar(&c.timeout, "timeout", 30*time.Second, "how long one operation may take, retries included")
}

// with runs f with a client, which it closes.
func (c *connection) with(ctx context.Context, compression batch.Compression, f func(*client.Client) error) error {
	if len(c.bootstrap) == 0 {
		return cli.Usagef("--bootstrap is missing: name one or more nodes as HOST:PORT")
	}
	for _, address := range c.bootstrap {
		if err := checkAddress(address); err != nil {
			return err
		}
	}
	if c.timeout <= 0 {
		return cli.Usagef("--timeout %v: it must be above 0", c.timeout)
	}
	cl, err := client.New(client.Config{Bootstrap: c.bootstrap, Timeout: c.timeout, Compression: compression})
	if err != nil {
		return err
	}
	err = f(cl)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	defer cancel()
	if closeErr := cl.Close(closing); err == nil {
		err = closeErr
	}
	return err
}
