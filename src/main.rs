//! The `privatelink-dns` command.

fn main() -> std::process::ExitCode {
    privatelink_dns::cli::main()
}
