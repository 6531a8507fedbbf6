"""The words of articles: numbers, units, quantities, and what is no claim; in English and Chinese.

It may import the errors and the language of claims files. Start with `numbers.find_numbers`; the words are in
`words.yaml`.
"""
