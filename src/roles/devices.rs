#[derive(clap::Args, Debug)]
pub struct DevicesArgs {}
pub fn run(_: DevicesArgs) -> anyhow::Result<()> {
    Ok(())
}
