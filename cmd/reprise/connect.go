package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/rpc"
	"github.com/reprise-mq/reprise/cmd/cli"
)

// connection is the flags of every command that asks a cluster for something.
type connection struct {
	bootstrap []string
	timeout   time.Duration
	security  security
}

func (c *connection) register(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&c.bootstrap, "bootstrap", nil, "HOST:PORT of one or more nodes of the cluster")
	cmd.Flags().DurationVar(&c.timeout, "timeout", 30*time.Second, "how long one operation may take, retries included")
	c.security.register(cmd)
}

// security is the flags that secure connections.
type security struct {
	files rpc.TLS
	tls   bool // with the system's CAs
}

func (s *security) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.tls, "tls", false, "secure the connections; nodes' certificates are of --tls-ca, or of a CA that the system trusts")
	cmd.Flags().StringVar(&s.files.CA, "tls-ca", "", "PEM `file` of the CA that signed the nodes' certificates")
	cmd.Flags().StringVar(&s.files.Cert, "tls-cert", "", "PEM `file` of the certificate to show, where nodes ask for one")
	cmd.Flags().StringVar(&s.files.Key, "tls-key", "", "PEM `file` of its key")
}

func (s *security) credentials() (rpc.Credentials, error) {
	if !s.tls && !s.files.Given() {
		return rpc.Credentials{}, nil
	}
	return s.files.ClientCredentials()
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
	credentials, err := c.security.credentials()
	if err != nil {
		return err
	}
	cl, err := client.New(client.Config{
		Bootstrap: c.bootstrap, Timeout: c.timeout, Compression: compression, Credentials: credentials,
	})
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
