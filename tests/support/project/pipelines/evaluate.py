import yaml
from pipelines.rows import parcels


def main():
    with open("params.yaml") as file:
        every = yaml.safe_load(file)["evaluate"]["holdout_every"]
    parcels(every, held_out=True).write_parquet("build/late/holdout.parquet")


if __name__ == "__main__":
    main()
