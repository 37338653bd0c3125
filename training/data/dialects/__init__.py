"""Reading and writing the rows in which people keep data sets for fine-tuning.

    opened = open_samples("train.json")          # tells the dialect by its content
    for row in opened.rows():                    # Sample | RowFault
        ...

docs/own_data.md has each dialect with its fields.
"""
