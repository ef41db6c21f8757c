package main

import (
	"cmp"
	"context"
	"os"
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

// security is the flags that secure connections, and say who asks.
type security struct {
	files rpc.TLS
	tls   bool // with the system's CAs
	// user shows the password in passwordFile.
	user, passwordFile string
}

// Where who asks is taken from if the flags do not say.
const (
	userVariable         = "REPRISE_USER"
	passwordVariable     = "REPRISE_PASSWORD"
	passwordFileVariable = "REPRISE_PASSWORD_FILE"
)

func (s *security) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.tls, "tls", false, "secure the connections; nodes' certificates are of --tls-ca, or of a CA that the system trusts")
	cmd.Flags().StringVar(&s.files.CA, "tls-ca", "", "PEM `file` of the CA that signed the nodes' certificates")
	cmd.Flags().StringVar(&s.files.Cert, "tls-cert", "", "PEM `file` of the certificate to show, where nodes ask for one")
	cmd.Flags().StringVar(&s.files.Key, "tls-key", "", "PEM `file` of its key")
	cmd.Flags().StringVar(&s.user, "user", "", "user to ask as ($"+userVariable+")")
	cmd.Flags().StringVar(&s.passwordFile, "password-file", "", "`file` whose first line is the user's password ($"+passwordFileVariable+", or the password in $"+passwordVariable+")")
}

func (s *security) credentials() (c rpc.Credentials, err error) {
	if s.tls || s.files.Given() {
		c, err = s.files.ClientCredentials()
	}
	if err == nil {
		c.Login, err = s.login()
	}
	return c, err
}

// login is who asks; nil is nobody. The file is read for every connection, so that a
// password is changed by changing it.
func (s *security) login() (rpc.Login, error) {
	user, file := cmp.Or(s.user, os.Getenv(userVariable)), cmp.Or(s.passwordFile, os.Getenv(passwordFileVariable))
	password := os.Getenv(passwordVariable)
	switch {
	case user == "" && s.passwordFile != "":
		return nil, cli.Usagef("--password-file needs --user: whose password it is")
	case user == "":
		return nil, nil
	case s.passwordFile == "" && password != "":
		return rpc.Password(user, password), nil
	case file == "":
		return nil, cli.Usagef("the password of user %q is missing: name a file that has it with --password-file, or set $%s", user, passwordVariable)
	}
	login := func() (string, string, error) {
		password, err := readPassword("--password-file", file)
		return user, password, err
	}
	_, _, err := login()
	return login, err
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
