package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/rpc"
	"github.com/reprise-mq/reprise/cmd/cli"
)

func newUser() *cobra.Command {
	return cli.Group("user", "Create, alter, delete and list users",
		newUserPut("create", "Make a user with a password", (*client.Client).CreateUser),
		newUserPut("alter", "Give a user another password, and end its links", (*client.Client).AlterUser),
		newUserDelete(), newUserList())
}

// newUserPut is a command that gives a user a password.
func newUserPut(name, short string, put func(*client.Client, context.Context, string, string) error) *cobra.Command {
	var c connection
	var file string
	cmd := &cobra.Command{
		Use: name + " NAME", Short: short,
		Long: short + `.

The user's password is the first line of --new-password-file, or else of standard
input. It stays here: nodes get a salted hash of it (SCRAM-SHA-256), with which it
can be checked.`,
		Example: fmt.Sprintf(`  reprise user %s alice --new-password-file alice.password --bootstrap 127.0.0.1:9001`, name),
		Args:    cli.Arguments(1, 1, "the name of a user"),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := newPassword(file, cmd.InOrStdin())
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				return put(cl, cmd.Context(), args[0], password)
			})
		},
	}
	c.register(cmd)
	cmd.Flags().StringVar(&file, "new-password-file", "", "`file` whose first line is the user's password (standard input)")
	return cmd
}

func newPassword(file string, in io.Reader) (string, error) {
	if file != "" {
		return readPassword("--new-password-file", file)
	}
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the user's password: %w", err)
	}
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		return "", cli.Usagef("the user's password is missing: put it into a file and name that with --new-password-file, or write it to standard input")
	}
	return password, nil
}

// readPassword reads the first line of a file that a flag names.
func readPassword(flag, file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", cli.Usagef("%s: %v", flag, err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", cli.Usagef("%s: the first line of %s is empty; write the password there", flag, file)
	}
	return line, nil
}

func newUserDelete() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete a user, and end its links; its ACLs stay",
		Args: cli.Arguments(1, 1, "the name of a user"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				return cl.DeleteUser(cmd.Context(), args[0])
			})
		},
	}
	c.register(cmd)
	return cmd
}

// userSummary is a user as 'user list' shows it. Its JSON is for scripts.
type userSummary struct {
	User       string `json:"user"`
	Mechanism  string `json:"mechanism"`
	Iterations int32  `json:"iterations"`
}

func newUserList() *cobra.Command {
	var c connection
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the users", Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				list, err := cl.DescribeUsers(cmd.Context())
				if err != nil {
					return err
				}
				users := []userSummary{}
				for _, u := range list {
					users = append(users, userSummary{u.Name, rpc.Mechanism, u.Iterations})
				}
				return show(cmd.OutOrStdout(), asJSON, users, func(out io.Writer) error {
					table := newTable(out, "USER", "MECHANISM", "ITERATIONS")
					for _, u := range users {
						fmt.Fprintf(table, "%s\t%s\t%d\n", u.User, u.Mechanism, u.Iterations)
					}
					return table.Flush()
				})
			})
		},
	}
	c.register(cmd)
	registerJSON(cmd, &asJSON)
	return cmd
}
